SELECT commits FROM state WHERE id = 1
