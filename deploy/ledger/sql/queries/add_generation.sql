INSERT INTO generations (id, spec_digest, result, ever_good, accepted_ms, actor, reason)
VALUES (?1, ?2, 'pending', 0, ?3, ?4, ?5)
