SELECT number, hash, body FROM entries WHERE number > ?1 ORDER BY number LIMIT ?2
