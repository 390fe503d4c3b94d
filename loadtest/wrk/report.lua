-- Makes wrk print its results as one line of JSON, after its own text.
--
--   wrk -t1 -c32 -d5s --timeout 2s -s report.lua http://127.0.0.1:8080/
--
-- Latencies are in microseconds. `status` counts answers outside of 200 to 399. wrk is a closed loop: it
-- sends a request when the answer before it has come, so its latencies are those of a client that waits.

done = function(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '{"requests": %d, "bytes": %d, "duration_us": %d, ' ..
      '"latency_us": {"min": %d, "mean": %.1f, "stdev": %.1f, "p50": %d, "p90": %d, "p99": %d, "p999": %d, "max": %d}, ' ..
      '"errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}\n',
      summary.requests, summary.bytes, summary.duration,
      latency.min, latency.mean, latency.stdev, latency:percentile(50), latency:percentile(90),
      latency:percentile(99), latency:percentile(99.9), latency.max,
      errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
