-- Several requests at once on each connection, and again when all are answered.
--
--   wrk -t1 -c64 -d5s -s pipelined.lua http://127.0.0.1:8080/ -- 16

dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "../../wrk/report.lua")

init = function(args)
   local batch = wrk.format():rep(tonumber(args[1]))
   request = function() return batch end
end
