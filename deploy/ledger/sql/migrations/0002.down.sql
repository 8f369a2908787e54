-- What had an end is quarantined until released: the safe side.
ALTER TABLE quarantine DROP COLUMN until_ms;
ALTER TABLE quarantine DROP COLUMN evidence;
