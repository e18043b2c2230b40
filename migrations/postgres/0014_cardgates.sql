-- Versions whose files have to be inspected anew, because the reader has learned
-- more: here what a card asks of those who want the model, of which only that
-- there is something was kept.
ALTER TABLE versions ADD COLUMN stale BIGINT NOT NULL DEFAULT 0 CHECK (stale IN (0, 1));
UPDATE versions SET stale = 1 WHERE CAST(facts AS TEXT) LIKE '%"gated":true%';
CREATE INDEX versions_stale ON versions (id) WHERE stale = 1;
