-- What a browser sends through a proxy: twelve headers, and no request like the one before it.
--
--   wrk -t1 -c64 -d5s -s realistic.lua http://127.0.0.1:8080/

dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "../../wrk/report.lua")

local head = " HTTP/1.1\r\n" ..
   "Host: www.example.com\r\n" ..
   "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n" ..
   "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" ..
   "Accept-Encoding: gzip, deflate, br, zstd\r\n" ..
   "Accept-Language: en-GB,en;q=0.5\r\n" ..
   "Referer: https://www.example.com/shop/list?page=2\r\n" ..
   "Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=1\r\n" ..
   "Cache-Control: max-age=0\r\n" ..
   "X-Forwarded-For: 203.0.113."
local middle = "\r\n" ..
   "X-Forwarded-Proto: https\r\n" ..
   "X-Forwarded-Host: www.example.com\r\n" ..
   "X-Request-Id: 5e1f0c7a-3b52-4d9e-9a60-"
local number = 0

request = function()
   number = number + 1
   return "GET /?n=" .. number .. head .. number % 250 + 1 .. middle .. number + 100000000000 .. "\r\n\r\n"
end
