SELECT spec_digest, actor, reason, since_ms, evidence, until_ms FROM quarantine ORDER BY since_ms, spec_digest
