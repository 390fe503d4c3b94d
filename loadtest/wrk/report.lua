-- Makes wrk print its results as one line of JSON, after its own text.
--
--   wrk -t1 -c32 -d5s --timeout 2s -s report.lua http://127.0.0.1:8080/
--
-- Latencies are in microseconds; `histogram` has each that was measured, with how often it was. `status` counts
-- answers outside of 200 to 399. wrk is a closed loop: it sends a request when the answer before it has come,
-- so its latencies are those of a client that waits. A script that loads this one may count wrong answers in the
-- variable `wrong`: they are errors.

local threads = {}

setup = function(thread)
   table.insert(threads, thread)
end

-- wrk looks through its table from the beginning for every entry: where that would take seconds (a long table
-- with many entries), the histogram is made of a thousand percentiles.
local TOO_MUCH = 3e9

local function histogram(latency)
   local parts = {}
   if #latency * tonumber(latency.max) < TOO_MUCH then
      for i = 1, #latency do
         local value, count = latency(i)
         parts[i] = string.format("[%d,%d]", tonumber(value), tonumber(count))
      end
   else
      for i = 1, 1000 do
         parts[i] = string.format("[%d,1]", tonumber(latency:percentile((i - 0.5) / 10)))
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
      '"latency_us": {"min": %d, "mean": %.1f, "stdev": %.1f, "p50": %d, "p90": %d, "p99": %d, "p999": %d, "max": %d}, ' ..
      '"errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d, "wrong": %d}, "histogram": [%s]}\n',
      summary.requests, summary.bytes, summary.duration,
      latency.min, latency.mean, latency.stdev, latency:percentile(50), latency:percentile(90),
      latency:percentile(99), latency:percentile(99.9), latency.max,
      errors.connect, errors.read, errors.write, errors.status, errors.timeout, wrong, histogram(latency)))
end
