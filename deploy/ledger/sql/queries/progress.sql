SELECT progress FROM state WHERE id = 1
