INSERT INTO entries (number, hash, generation, body) VALUES (?1, ?2, ?3, ?4)
