-- The small application of the demo, for SQLite.

CREATE TABLE devices (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    city TEXT NOT NULL,
    installed_at TEXT NOT NULL
);
CREATE TABLE readings (
    device_id INTEGER NOT NULL REFERENCES devices (id),
    taken_at TEXT NOT NULL,
    celsius REAL NOT NULL,
    humidity REAL,
    PRIMARY KEY (device_id, taken_at)
) WITHOUT ROWID;
CREATE TABLE alarms (
    id INTEGER PRIMARY KEY,
    device_id INTEGER NOT NULL REFERENCES devices (id),
    raised_at TEXT NOT NULL,
    message TEXT NOT NULL
);
CREATE INDEX alarms_device ON alarms (device_id, raised_at);
CREATE VIEW latest_readings AS
    SELECT d.name, r.taken_at, r.celsius
    FROM devices d JOIN readings r ON r.device_id = d.id
    WHERE r.taken_at = (SELECT max(taken_at) FROM readings WHERE device_id = d.id);
CREATE TRIGGER readings_too_hot AFTER INSERT ON readings WHEN NEW.celsius > 45
BEGIN
    INSERT INTO alarms (device_id, raised_at, message) VALUES (NEW.device_id, NEW.taken_at, 'above 45 degrees');
END;
