UPDATE generations SET result = ?2, reason = ?3, ever_good = max(ever_good, ?2 = 'good') WHERE id = ?1 RETURNING id
