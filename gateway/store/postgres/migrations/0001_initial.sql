-- oldest: 1
-- Times are microseconds since 1970 in UTC, energy is Wh, structured values are JSON as gateway.domain.codec writes it.
-- A charge point and an event type are referred to by small integers, a transaction by its number. There are no foreign
-- keys: each row they check is locked by it, and all that is written comes from one program, in one transaction a batch.
-- Texts are compared by their bytes, as SQLite does; the characters U+0000 and U+0001 are escaped in them (encoding.py).

-- One row: what is known of the store as a whole.
CREATE TABLE meta (
    single      int     PRIMARY KEY DEFAULT 1 CHECK (single = 1),
    store_id    text    NOT NULL,
    created_at  int8    NOT NULL,
    floor       int8    NOT NULL DEFAULT 0,      -- events at or below are gone, but for those in event_kept
    floor_time  int8    NOT NULL DEFAULT 0,      -- the newest time of an event that retention has passed
    next_number int8    NOT NULL DEFAULT 1,      -- the next transaction number that was never given out
    probe       bytea   NOT NULL DEFAULT ''
) WITH (fillfactor = 10);

-- One row per slot: its lane. Each batch changes it, in its own page, so that the change stays within the page.
CREATE TABLE node (
    node        int     PRIMARY KEY,
    incarnation int8    NOT NULL DEFAULT 0,      -- how often the slot was taken; a writer of an earlier one is fenced
    batch       int8    NOT NULL DEFAULT 0,      -- the last batch that was committed
    position    int8    NOT NULL DEFAULT 0,      -- where that batch's sequences begin
    notices     int8    NOT NULL DEFAULT 0,      -- how often others have changed what this writer remembers
    seen_at     timestamptz NOT NULL DEFAULT now(),
    backend_pid int,
    address     text    NOT NULL DEFAULT '',
    version     text    NOT NULL DEFAULT '',
    draining    boolean NOT NULL DEFAULT false
) WITH (fillfactor = 10);

-- What others have changed of a slot's charge points; the writer reads it when its fence says so.
CREATE TABLE notice (
    node         int    NOT NULL,
    n            int8   NOT NULL,
    kind         text   NOT NULL,
    charge_point int,
    epoch        int8,
    PRIMARY KEY (node, n)
);

CREATE SEQUENCE charge_point_key AS int;

-- Every identity that ever was: a deleted one keeps its row (deleted_at), so that its epoch goes on rising.
CREATE TABLE charge_point (
    key                 int    PRIMARY KEY,
    node                int,                     -- the slot whose session owns it
    identity            text   COLLATE "C" NOT NULL UNIQUE,
    epoch               int8   NOT NULL DEFAULT 0,
    revision            int8   NOT NULL DEFAULT 1,
    registration        text   NOT NULL,
    created_at          int8   NOT NULL,
    updated_at          int8   NOT NULL,
    deleted_at          int8,
    description         text   NOT NULL DEFAULT '',
    assume_subprotocol  int    NOT NULL DEFAULT 0,
    own_requests        int,
    accept_hex_password int,
    labels              text   NOT NULL DEFAULT '{}',
    label               text[] NOT NULL DEFAULT '{}',  -- the same, each as a JSON array of its key and value
    ever_accepted       int    NOT NULL DEFAULT 0,
    boot                bytea,
    booted_at           int8,
    connected           int    NOT NULL DEFAULT 0,
    connection_since    int8,
    connected_for       int8   NOT NULL DEFAULT 0,     -- microseconds, connections that are over
    remote_address      text   NOT NULL DEFAULT '',
    security_profile    int    NOT NULL DEFAULT 0,
    last_heard          int8,
    clock_offset        bytea,
    latest              text   NOT NULL DEFAULT '',
    latest_epoch        int8   NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

CREATE INDEX charge_point_connected ON charge_point (identity) WHERE connected = 1;
CREATE INDEX charge_point_label ON charge_point USING gin (label) WITH (fastupdate = off);

CREATE TABLE credential (
    charge_point  int   NOT NULL,
    credential_id text  COLLATE "C" NOT NULL,
    kind          text  NOT NULL,
    salt          bytea NOT NULL,
    verifier      bytea NOT NULL,
    not_before    int8  NOT NULL,
    not_after     int8,
    standing      text  NOT NULL DEFAULT 'SETTLED',  -- how far it is known that the charger has taken it
    PRIMARY KEY (charge_point, credential_id)
);

CREATE TABLE connector (
    charge_point      int  NOT NULL,
    evse              int8 NOT NULL,
    connector         int8 NOT NULL,
    status            text NOT NULL,
    error_code        text NOT NULL,
    reported_at       int8 NOT NULL,
    info              text,
    vendor_id         text,
    vendor_error_code text,
    PRIMARY KEY (charge_point, evse, connector)
) WITH (fillfactor = 70);

CREATE TABLE charging_state (
    charge_point int  NOT NULL,
    evse         int8 NOT NULL,
    connector    int8 NOT NULL,
    state        text NOT NULL,
    basis        text NOT NULL,
    since        int8 NOT NULL,
    PRIMARY KEY (charge_point, evse, connector)
) WITH (fillfactor = 70);

CREATE TABLE boot_configuration (
    charge_point     int  NOT NULL,
    name             text COLLATE "C" NOT NULL,
    value            text NOT NULL,
    status           text NOT NULL,
    firmware_version text,
    at               int8 NOT NULL,
    attempts         int8 NOT NULL DEFAULT 0,
    fingerprint      text NOT NULL DEFAULT '',
    PRIMARY KEY (charge_point, name)
);

CREATE TABLE configuration (
    charge_point int  NOT NULL,
    name         text COLLATE "C" NOT NULL,
    value        text,
    PRIMARY KEY (charge_point, name)
);

CREATE TABLE reservation (
    charge_point   int  NOT NULL,
    reservation_id int8 NOT NULL,
    evse           int8 NOT NULL,                -- 0: any connector
    connector      int8 NOT NULL,
    id_tag         text NOT NULL,
    parent_id_tag  text,
    expires_at     int8 NOT NULL,
    made_at        int8 NOT NULL,
    shown          int  NOT NULL DEFAULT 0,      -- whether a status has shown that the charger holds it
    PRIMARY KEY (charge_point, reservation_id)
);

CREATE INDEX reservation_expiry ON reservation (expires_at);

-- What a charge point said last (gateway.domain.repeats): keys of 16 bytes, one after the other, and what its clock has
-- shown. Small rows of their own, for they change with nearly every message.
CREATE TABLE memory (
    charge_point      int   PRIMARY KEY,
    readings          bytea NOT NULL,
    messages          bytea NOT NULL,
    clock             int8,
    clock_before_boot int8,
    ran_back          int   NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE pending_start (
    charge_point int  NOT NULL,
    command_id   text COLLATE "C" NOT NULL,
    id_tag       text NOT NULL,
    evse         int8,                           -- NULL: the charger chooses a connector
    connector    int8,
    queued_at    int8 NOT NULL,
    sent_at      int8,                           -- NULL: not sent yet
    accepted_at  int8,
    PRIMARY KEY (charge_point, command_id)
);

CREATE TABLE progress (
    charge_point      int  NOT NULL,
    work              text COLLATE "C" NOT NULL,
    command_id        text NOT NULL,             -- '': none was sent yet
    succeeded         int  NOT NULL,
    status            text NOT NULL,             -- '': none was reported yet
    status_command_id text NOT NULL,             -- '': it belongs to none
    reported_at       int8,
    ocpp_request_id   int8,                      -- OCPP's requestId of the command; NULL: it has none
    PRIMARY KEY (charge_point, work)
);

CREATE TABLE local_list (
    charge_point int  PRIMARY KEY,
    list_version int8 NOT NULL,
    update_type  text NOT NULL,
    command_id   text NOT NULL,
    changed_at   int8 NOT NULL
);

-- What is wanted of connectors, and how far that has got (gateway.domain.steering); the bodies are JSON.
CREATE TABLE steering (
    charge_point int   NOT NULL,
    evse         int8  NOT NULL,
    connector    int8  NOT NULL,
    revision     int8  NOT NULL,                 -- of what is wanted
    state        text  NOT NULL,                 -- of the steering
    wanted       bytea NOT NULL,
    steering     bytea NOT NULL,
    PRIMARY KEY (charge_point, evse, connector)
);

CREATE INDEX steering_state ON steering (state);

CREATE TABLE steering_request (
    charge_point int  NOT NULL,
    request_id   text NOT NULL,
    fingerprint  text NOT NULL,
    evse         int8 NOT NULL,
    connector    int8 NOT NULL,
    revision     int8 NOT NULL,
    at           int8 NOT NULL,
    sequence     int8 NOT NULL,
    PRIMARY KEY (charge_point, request_id)
);

CREATE TABLE charging_profile (
    charge_point int   NOT NULL,
    profile_id   int8  NOT NULL,
    body         bytea NOT NULL,
    PRIMARY KEY (charge_point, profile_id)
);

CREATE TABLE id_tag (
    folded           text COLLATE "C" PRIMARY KEY,  -- as gateway.domain.transactions.folded has it
    id_tag           text NOT NULL,
    status           text NOT NULL,
    created_at       int8 NOT NULL,
    updated_at       int8 NOT NULL,
    expiry_date      int8,
    parent_id_tag    text,
    allow_concurrent int  NOT NULL,
    description      text NOT NULL,
    revision         int8 NOT NULL,
    created_by       text NOT NULL DEFAULT '',
    updated_by       text NOT NULL DEFAULT ''
);

-- Callers of the control interface. Of a token its SHA-256 alone is kept.
CREATE TABLE caller (
    name             text COLLATE "C" PRIMARY KEY,
    roles            text NOT NULL,
    created_at       int8 NOT NULL,
    token_digest     bytea UNIQUE,
    certificate_name text UNIQUE,
    scope            text NOT NULL DEFAULT '{}'
);

-- Referred to by its number, which is known before the row is written.
CREATE TABLE txn (
    number            int8 PRIMARY KEY,
    transaction_id    text COLLATE "C" NOT NULL UNIQUE,
    charge_point      int  NOT NULL,
    evse              int8 NOT NULL,
    connector         int8 NOT NULL,
    id_tag            text NOT NULL,
    folded_tag        text COLLATE "C" NOT NULL,
    status            text NOT NULL,
    state             text NOT NULL,
    meter_start       int8 NOT NULL,
    started_at        int8 NOT NULL,
    start_received_at int8 NOT NULL,
    start_sequence    int8 NOT NULL,
    start_raw         text,
    start_key         text COLLATE "C" NOT NULL,
    reservation_id    int8,
    meter_stop        int8,
    stopped_at        int8,
    stop_received_at  int8,
    stop_raw          text,
    stop_sequence     int8,
    stop_reason       text,
    stop_id_tag       text,
    energy            int8,
    flags             text NOT NULL DEFAULT '',
    last_sequence     int8 NOT NULL,             -- its newest event, once it is not open any more
    cleared           int  NOT NULL DEFAULT 0,   -- whether the events are gone that were kept while it was open
    stale_at          int8,
    stale_why         text NOT NULL DEFAULT '',
    closed_at         int8,
    closed_by         text NOT NULL DEFAULT '',   -- the caller that closed it, or attributed its stop
    close_reason      text NOT NULL DEFAULT '',
    close_meter       int8,
    close_meter_at    int8,
    start_command_id  text NOT NULL DEFAULT '',
    energy_revision   int8 NOT NULL DEFAULT 0,
    energy_mwh        int8,
    energy_basis      text NOT NULL DEFAULT '',
    energy_doubts     text NOT NULL DEFAULT '',
    energy_rules      int8 NOT NULL DEFAULT 0,
    energy_digest     text NOT NULL DEFAULT '',
    energy_sequence   int8 NOT NULL DEFAULT 0,   -- worked out with events up to this one
    heard_at          int8,                      -- its newest message, once it has ended
    heard_mark        int8 NOT NULL DEFAULT 0,   -- connected_for at that time
    quiet_before      int8 NOT NULL DEFAULT 0,
    quiet_needed      int8
) WITH (fillfactor = 70);

CREATE INDEX txn_start_key ON txn (charge_point, start_key);
CREATE INDEX txn_started ON txn (started_at, start_sequence);
CREATE INDEX txn_of_charge_point ON txn (charge_point, started_at, start_sequence);
CREATE INDEX txn_of_tag ON txn (folded_tag, started_at, start_sequence);
CREATE INDEX txn_open ON txn (charge_point) WHERE state = 'OPEN';
CREATE INDEX txn_open_of_tag ON txn (folded_tag) WHERE state = 'OPEN';
CREATE INDEX txn_closed ON txn (last_sequence) WHERE state <> 'OPEN';
CREATE INDEX txn_to_clear ON txn (last_sequence) WHERE state <> 'OPEN' AND cleared = 0;
CREATE INDEX txn_energy_due ON txn (heard_at) WHERE state <> 'OPEN' AND last_sequence > energy_sequence;

-- Stops without a transaction that an operator has tied to one.
CREATE TABLE attribution (
    orphan         int8 PRIMARY KEY,             -- the sequence of its event
    charge_point   int  NOT NULL,
    transaction_id text NOT NULL,
    request_id     text NOT NULL
);

CREATE UNIQUE INDEX attribution_request ON attribution (charge_point, request_id);
CREATE INDEX attribution_transaction ON attribution (transaction_id);

-- In the order of queued_sequence, which is the first event's.
CREATE TABLE command (
    command_id      text  COLLATE "C" PRIMARY KEY,
    charge_point    int   NOT NULL,
    request_id      text  COLLATE "C" NOT NULL,
    operation       text  NOT NULL,
    arguments       bytea NOT NULL,
    fingerprint     text  NOT NULL,
    state           text  NOT NULL,
    created_at      int8  NOT NULL,
    sent_at         int8,
    finished_at     int8,
    answer          bytea,
    error           bytea,
    late            int   NOT NULL DEFAULT 0,
    reason          text  NOT NULL DEFAULT '',
    caller          text  NOT NULL DEFAULT '',   -- '': it had no name
    queued_sequence int8  NOT NULL UNIQUE,
    last_sequence   int8  NOT NULL               -- its newest event
) WITH (fillfactor = 70);

CREATE UNIQUE INDEX command_request ON command (charge_point, request_id) WHERE request_id <> '';
CREATE INDEX command_of_charge_point ON command (charge_point, queued_sequence);
CREATE INDEX command_of_caller ON command (caller, queued_sequence) WHERE caller <> '';
CREATE INDEX command_unfinished ON command (charge_point) WHERE state IN ('QUEUED', 'SENT');
CREATE INDEX command_finished ON command (last_sequence) WHERE state NOT IN ('QUEUED', 'SENT');

CREATE TABLE operation (
    operation_id        text COLLATE "C" PRIMARY KEY,
    charge_point        int  NOT NULL,
    request_id          text NOT NULL,
    kind                text NOT NULL,
    evse                int8,                    -- NULL: none was named
    connector           int8,
    id_tag              text NOT NULL,
    named               text NOT NULL,           -- the transaction that the caller named; '' if none
    insist              int  NOT NULL,
    created_at          int8 NOT NULL,
    expires_at          int8 NOT NULL,
    stages              text NOT NULL,           -- JSON: [stage, time, sequence] of each, in order; never empty
    command_id          text NOT NULL DEFAULT '',
    transaction_id      text NOT NULL DEFAULT '',
    ended               text,                    -- NULL: it has not
    reason              text NOT NULL DEFAULT '',
    ended_at            int8,
    accepted_sequence   int8 NOT NULL UNIQUE,
    last_sequence       int8 NOT NULL,           -- its newest event
    limit_value         text,                    -- NULL: none
    limit_unit          text,
    limit_phases        int8,
    until               int8,
    pause_below_minimum int  NOT NULL DEFAULT 0,
    caller              text NOT NULL DEFAULT '', -- '': it had no name
    arguments           text NOT NULL DEFAULT '', -- of its command, secrets redacted, as JSON; '': it is given nothing
    fingerprint         text NOT NULL DEFAULT ''
) WITH (fillfactor = 70);

CREATE UNIQUE INDEX operation_request ON operation (charge_point, request_id);
CREATE INDEX operation_of_charge_point ON operation (charge_point, accepted_sequence);
CREATE INDEX operation_of_caller ON operation (caller, accepted_sequence) WHERE caller <> '';
CREATE INDEX operation_open ON operation (charge_point) WHERE ended IS NULL;
CREATE INDEX operation_ended ON operation (last_sequence) WHERE ended IS NOT NULL;

-- An index of what callers did (gateway.domain.audit), written together with what it points at. It goes with the event
-- that it follows from, or with the one that came after it, where it follows from none.
CREATE TABLE audit (
    key          int8 PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    sequence     int8 NOT NULL,
    at           int8 NOT NULL,
    caller       text NOT NULL,
    action       text NOT NULL,                  -- the RPC, by its name
    charge_point int,                            -- NULL: of none
    kind         text NOT NULL,                  -- of the subject; '': there is none but the charge point
    subject      text NOT NULL,
    denied       text NOT NULL DEFAULT '',       -- why it was refused; '': it was not
    omitted      int8 NOT NULL DEFAULT 0         -- refusals before this one that have no row
);

CREATE INDEX audit_at ON audit (at, key);
CREATE INDEX audit_of_caller ON audit (caller, at, key);
CREATE INDEX audit_of_charge_point ON audit (charge_point, at, key) WHERE charge_point IS NOT NULL;
CREATE INDEX audit_of_action ON audit (action, at, key);
CREATE INDEX audit_sequence ON audit (sequence);
CREATE INDEX audit_denied ON audit (key) WHERE denied <> '';

-- Open requests of chargers to have a key certified; and the certificate that each charger was last known to have.
CREATE TABLE signing (
    charge_point int  PRIMARY KEY,
    signing_id   text COLLATE "C" NOT NULL UNIQUE,
    csr          text NOT NULL,
    created_at   int8 NOT NULL,
    expires_at   int8 NOT NULL,
    chain        text NOT NULL DEFAULT ''        -- '': it waits for the signing service
);

CREATE INDEX signing_expiry ON signing (expires_at);

CREATE TABLE charger_certificate (
    charge_point  int  PRIMARY KEY,
    serial_number text NOT NULL,
    not_after     int8 NOT NULL,
    warned        int  NOT NULL DEFAULT 0        -- 1: its end is near; 2: it is past; events say so
);

CREATE INDEX charger_certificate_expiry ON charger_certificate (not_after) WHERE warned < 2;

-- Codes are for ever. Types that came after this migration get theirs when the store is opened.
CREATE SEQUENCE event_type_code AS int2 START 5;
CREATE TABLE event_type (
    code int2 PRIMARY KEY DEFAULT nextval('event_type_code'),
    name text NOT NULL UNIQUE
);

INSERT INTO event_type (code, name) VALUES
    (1, 'transaction.started'),
    (2, 'transaction.stopped'),
    (3, 'meter_values.reported'),
    (4, 'transaction.orphaned');

-- The history. A sequence is the id of the transaction that wrote it, shifted left by 16, plus its index therein.
CREATE TABLE event (
    sequence     int8  NOT NULL,
    received_at  int8  NOT NULL,
    reported_at  int8,
    epoch        int8  NOT NULL,
    txn          int8,                           -- txn.number; 0: named in the body, but not known here
    charge_point int   NOT NULL,
    type         int2  NOT NULL,
    version      int2  NOT NULL,
    reported_raw text,
    flags        text  NOT NULL,
    cause        text  NOT NULL,
    body         bytea NOT NULL
) PARTITION BY RANGE (sequence);

CREATE UNIQUE INDEX event_sequence ON event (sequence);
CREATE INDEX event_of_charge_point ON event (charge_point, sequence);
CREATE INDEX event_orphan ON event (sequence) WHERE type = 4;
CREATE INDEX event_orphan_of_charge_point ON event (charge_point, sequence) WHERE type = 4;

-- Partitions of the history, each up to below its bound; the first one begins at 0.
CREATE TABLE event_partition (
    bound   int8 PRIMARY KEY,
    name    text NOT NULL,
    made_at int8 NOT NULL,                       -- when, and at which sequence: how wide the next ones are
    made_by int8 NOT NULL
);

-- Events below the floor of transactions that were open when retention passed them.
CREATE TABLE event_kept (LIKE event);
CREATE UNIQUE INDEX event_kept_sequence ON event_kept (sequence);
CREATE INDEX event_kept_of_charge_point ON event_kept (charge_point, sequence);

-- All that is kept. What lies below the floor goes with its partition, and is gone from here before.
CREATE VIEW history AS
    SELECT sequence, received_at, reported_at, epoch, txn, charge_point, type, version, reported_raw, flags, cause, body
    FROM event WHERE sequence > (SELECT floor FROM meta)
    UNION ALL
    SELECT sequence, received_at, reported_at, epoch, txn, charge_point, type, version, reported_raw, flags, cause, body
    FROM event_kept;

-- Each start of a gateway on this database begins a generation. The token is random.
CREATE TABLE generation (
    number         int  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    token          int8 NOT NULL,                -- 1 to 2^63 - 1
    first_sequence int8 NOT NULL                 -- the first that can be one of its events
);

-- What is remembered of the clock (gateway.store.commits.ClockRecord); one row at most.
CREATE TABLE clock (
    single         int    PRIMARY KEY DEFAULT 1 CHECK (single = 1),
    seen_at        int8   NOT NULL,
    doubted        int    NOT NULL,
    reason         text   NOT NULL,
    steady_seconds float8 NOT NULL,
    head           int8   NOT NULL
);

-- When the floor stood where: what is below has been without its events since then.
CREATE TABLE floor_mark (
    at    int8 PRIMARY KEY,
    floor int8 NOT NULL
);

-- Where the sequences of the running transaction begin. Assigns its id: locks come before this.
CREATE FUNCTION mine() RETURNS int8 LANGUAGE sql STABLE AS
    $$ SELECT pg_current_xact_id()::text::int8 << 16 $$;

-- All sequences below belong to transactions that have ended, and are visible to this snapshot or never will be.
CREATE FUNCTION horizon() RETURNS int8 LANGUAGE sql STABLE AS
    $$ SELECT pg_snapshot_xmin(pg_current_snapshot())::text::int8 << 16 $$;

-- The first statement of a batch after its lane's lock: answers where its sequences begin, or raises GW001.
CREATE FUNCTION fence(slot int, mine_is int8, seen int8, number int8) RETURNS int8 LANGUAGE plpgsql AS $$
DECLARE
    begins int8;
BEGIN
    UPDATE node SET batch = number, position = mine(), seen_at = clock_timestamp()
    WHERE node = slot AND incarnation = mine_is AND notices = seen AND batch < number
    RETURNING position INTO begins;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the slot % is another writer''s', slot USING ERRCODE = 'GW001';
    END IF;
    RETURN begins;
END $$;

-- Words of both, each once, in the order in which they come first.
CREATE FUNCTION merged(words text, more text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(string_agg(word, ' ' ORDER BY n), '') FROM (
        SELECT word, min(n) AS n FROM regexp_split_to_table(words || ' ' || more, ' ') WITH ORDINALITY AS each (word, n)
        WHERE word <> '' GROUP BY word
    ) AS once
$$;
