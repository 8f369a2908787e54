SELECT body FROM entries WHERE number > ?1 ORDER BY number
