SELECT 1 FROM entries WHERE instr(CAST(body AS TEXT), ?1) > 0 LIMIT 1
