SELECT number, hash, generation, body FROM entries ORDER BY number
