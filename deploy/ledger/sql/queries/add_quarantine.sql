INSERT INTO quarantine (spec_digest, actor, reason, since_ms) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (spec_digest) DO UPDATE SET actor = excluded.actor, reason = excluded.reason, since_ms = excluded.since_ms
