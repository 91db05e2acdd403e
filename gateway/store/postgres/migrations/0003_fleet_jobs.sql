-- oldest: 1
-- Jobs for many charge points, and what has become of each of them.
CREATE TABLE fleet_job (
    key          int8 PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    job_id       text NOT NULL UNIQUE,
    request_id   text NOT NULL UNIQUE,
    kind         text NOT NULL,
    per_minute   float8 NOT NULL,
    at_once      int8 NOT NULL,
    created_at   int8 NOT NULL,
    expires_at   int8 NOT NULL,
    caller       text NOT NULL,
    cancelled_at int8,
    ended        text,                           -- NULL: it has not
    ended_at     int8
);

CREATE TABLE fleet_item (
    job          int8 NOT NULL,
    identity     text COLLATE "C" NOT NULL,
    operation_id text NOT NULL DEFAULT '',
    outcome      text,                           -- NULL: it has not ended
    reason       text NOT NULL DEFAULT '',
    PRIMARY KEY (job, identity)
);
