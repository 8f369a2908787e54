UPDATE state SET commits = commits + 1 WHERE id = 1 RETURNING commits
