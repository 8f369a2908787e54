INSERT INTO generations (id, spec_digest, result, ever_good, accepted_ms, actor, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
