-- Sends a body with each request, and checks that the answer knows it: its size and its SHA-256.
--
--   wrk -t1 -c32 -d5s -s upload.lua http://127.0.0.1:8080/upload -- SIZE SHA256
--
-- The body is what scenario.py makes of the same size; the digest comes from there, because Lua has none.

dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "report.lua")

local pattern = "pierhead\n"
local size, sha256
wrong = 0 -- report.lua reads it

init = function(words)
   size, sha256 = tonumber(words[1]), words[2]
   wrk.method = "POST"
   wrk.headers["Content-Type"] = "application/octet-stream"
   wrk.body = pattern:rep(math.floor(size / #pattern) + 1):sub(1, size)
end

response = function(status, headers, body)
   if not body:find('"size":%s*' .. size .. "%f[%D]") or not body:find('"' .. sha256 .. '"', 1, true) then
      wrong = wrong + 1
   end
end
