INSERT INTO documents (spec_digest, body) VALUES (?1, ?2) ON CONFLICT (spec_digest) DO NOTHING
