-- Why a document is quarantined, and for how long. `evidence` is a JSON object of texts; `until_ms` NULL: until released.
ALTER TABLE quarantine ADD COLUMN evidence TEXT NOT NULL DEFAULT '{}';
ALTER TABLE quarantine ADD COLUMN until_ms INTEGER;
