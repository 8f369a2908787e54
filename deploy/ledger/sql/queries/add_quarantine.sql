INSERT INTO quarantine (spec_digest, actor, reason, since_ms, evidence, until_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (spec_digest) DO UPDATE SET actor = excluded.actor, reason = excluded.reason, since_ms = excluded.since_ms,
  evidence = excluded.evidence, until_ms = excluded.until_ms
