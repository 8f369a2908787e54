UPDATE state SET progress = ?1 WHERE id = 1
