-- What wrk sends: one POST after the other, each with a link that nobody asked for before, or the next of some files.
--   wrk -s post.lua URL -- PATH CONTENT_TYPE ORIGIN PHOTOS MARK BODY [UPLOAD …]
-- "{link}" in PATH (percent-encoded there) and BODY stands for the link. Prints its figures as one line of JSON.

local path, content_type, origin, photos, mark, body
local uploads, headers, sent = {}, {}, 0

local function replace(template, link)
  local first, last = template:find("{link}", 1, true)
  if not first then return template end
  return template:sub(1, first - 1) .. link .. template:sub(last + 1)
end

function init(args)
  path, content_type, origin, photos, mark, body = args[1], args[2], args[3], tonumber(args[4]), args[5], args[6]
  for place = 7, #args do
    local file = assert(io.open(args[place], "rb"))
    uploads[#uploads + 1] = file:read("*a")
    file:close()
  end
  if content_type ~= "" then headers["Content-Type"] = content_type end
end

function request()
  sent = sent + 1
  if #uploads > 0 then return wrk.format("POST", path, headers, uploads[sent % #uploads + 1]) end
  local link = string.format("%s/%d/%s-%d.jpg", origin, sent % photos, mark, sent)
  local encoded = link:gsub(":", "%%3A"):gsub("/", "%%2F")
  return wrk.format("POST", replace(path, encoded), headers, replace(body, link))
end

function done(summary, latency, requests)
  local shares = {}
  for percent = 1, 99 do shares[percent] = string.format("%.3f", latency:percentile(percent) / 1000) end
  io.write(string.format(
    '{"seconds": %.6f, "answers": %d, "failed": %d, "broken": %d, "mean": %.3f, "percentiles": [%s]}\n',
    summary.duration / 1e6, summary.requests, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency.mean / 1000, table.concat(shares, ", ")))
end
