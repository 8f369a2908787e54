SELECT body FROM documents WHERE spec_digest = ?1
