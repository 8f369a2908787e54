INSERT INTO migrations (version, backward) VALUES (?1, ?2)
