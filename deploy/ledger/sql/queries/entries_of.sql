SELECT number, hash, body FROM entries WHERE generation = ?1 ORDER BY number
