//! The tables of reviews, in SQL that SQLite and PostgreSQL both speak.
//!
//! Rows of judgements, comments, disputes and the audit log are only ever added; what was said is never changed. Ids begin
//! with the time, so they sort as things happened.

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use std::borrow::Cow;

/// Each step once, in order; a step that was released is never changed.
const STEPS: [(&str, &str); 1] = [("reviews", FIRST)];

const FIRST: &str = "
create table users (
    user_id text primary key,
    name text not null unique,
    role text not null,
    password_hash text,
    created_ms bigint not null,
    disabled_ms bigint
);
create table sessions (
    token_sha256 text primary key,
    user_id text not null references users (user_id),
    csrf text not null,
    created_ms bigint not null,
    seen_ms bigint not null
);
create table judgements (
    judgement_id text primary key,
    call_id text not null,
    user_id text not null references users (user_id),
    at_ms bigint not null,
    question text not null,
    subject text not null,
    verdict text not null,
    value text,
    seen text,
    seen_rules text not null,
    seen_version text not null,
    note text
);
create index judgements_of_call on judgements (call_id);
create index judgements_by_question on judgements (question, call_id);
create table comments (
    comment_id text primary key,
    call_id text not null,
    user_id text not null references users (user_id),
    at_ms bigint not null,
    body text not null
);
create index comments_of_call on comments (call_id);
create table samples (
    sample_id text primary key,
    name text not null unique,
    kind text not null,
    query text not null,
    random bigint not null,
    blind bigint not null,
    made_by text not null references users (user_id),
    at_ms bigint not null
);
create table assignments (
    assignment_id text primary key,
    sample_id text not null references samples (sample_id),
    call_id text not null,
    user_id text not null references users (user_id),
    at_ms bigint not null
);
create index assignments_of_call on assignments (call_id);
create index assignments_of_user on assignments (user_id);
create table disputes (
    dispute_id text primary key,
    call_id text not null,
    question text not null,
    raised_by text not null references users (user_id),
    at_ms bigint not null
);
create index disputes_of_call on disputes (call_id);
create table dispute_steps (
    step_id text primary key,
    dispute_id text not null references disputes (dispute_id),
    user_id text not null references users (user_id),
    at_ms bigint not null,
    action text not null,
    body text not null
);
create index steps_of_dispute on dispute_steps (dispute_id);
create table views (
    view_id text primary key,
    user_id text not null references users (user_id),
    name text not null,
    query text not null,
    at_ms bigint not null
);
create table audit (
    audit_id text primary key,
    at_ms bigint not null,
    user_id text,
    action text not null,
    call_id text,
    detail text
);
create index audit_of_call on audit (call_id);
";

/// What brings an empty or older database to this version.
pub(super) fn migrator() -> Migrator {
    let steps = STEPS.iter().enumerate().map(|(at, (name, sql))| {
        let sql = SqlStr::from_static(sql);
        Migration::new(at as i64 + 1, Cow::Borrowed(*name), MigrationType::Simple, sql, false)
    });
    Migrator { migrations: steps.collect(), ..Migrator::DEFAULT }
}
