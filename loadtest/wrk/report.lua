-- Makes wrk print its results as one line of JSON, after its own text.
--
--   wrk -t1 -c32 -d5s --timeout 2s -s report.lua http://127.0.0.1:8080/
--
-- `histogram` has each latency in microseconds that wrk counted, with how often; `status` counts answers outside
-- of 200 to 399. wrk is a closed loop: it sends a request when the answer before it has come. Before it comes
-- here it has added the requests that it would have sent, had it not waited: tools.py takes these out again. A
-- script that loads this one may count wrong answers in the variable `wrong`: they are errors.

local threads = {}

setup = function(thread)
   table.insert(threads, thread)
end

-- wrk's own table, which has a place for each microsecond: latency(i) would look through it from the beginning for
-- every entry, which takes seconds where answers are slow.
local ffi = require("ffi")
ffi.cdef("typedef struct { uint64_t count, limit, min, max, data[]; } wrk_stats;")

local function histogram(latency)
   local parts = {}
   local stats = ffi.cast("wrk_stats **", latency)[0]
   if #latency == 0 then
      return ""
   elseif stats.min == latency.min and stats.max == latency.max then
      for value = tonumber(stats.min), tonumber(stats.max) do
         if stats.data[value] > 0 then
            table.insert(parts, string.format("[%d,%d]", value, tonumber(stats.data[value])))
         end
      end
   else -- another version of wrk
      for i = 1, #latency do
         local value, count = latency(i)
         table.insert(parts, string.format("[%d,%d]", tonumber(value), tonumber(count)))
      end
   end
   return table.concat(parts, ",")
end

done = function(summary, latency, requests)
   local errors = summary.errors
   local wrong = 0
   for _, thread in ipairs(threads) do
      wrong = wrong + (thread:get("wrong") or 0)
   end
   io.write(string.format(
      '{"requests": %d, "bytes": %d, "duration_us": %d, ' ..
      '"errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d, "wrong": %d}, "histogram": [%s]}\n',
      summary.requests, summary.bytes, summary.duration,
      errors.connect, errors.read, errors.write, errors.status, errors.timeout, wrong, histogram(latency)))
end
