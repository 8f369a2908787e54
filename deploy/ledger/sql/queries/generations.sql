SELECT id, spec_digest, result, ever_good, accepted_ms, actor, reason FROM generations ORDER BY id DESC
