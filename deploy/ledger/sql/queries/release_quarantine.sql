DELETE FROM quarantine WHERE spec_digest = ?1
