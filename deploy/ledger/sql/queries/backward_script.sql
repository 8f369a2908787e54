SELECT backward FROM migrations WHERE version = ?1
