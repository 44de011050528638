//! What requests used and cost.

use std::collections::HashMap;

use agent_claude::messages::Usage;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
use serde::Serialize;

use super::catalogue;
use super::error::Fault;
use super::rows::{from_time, to_count};
use super::types::{Cost, CostScope};

/// More tokens than a request can have; keeps a mad number of a server's from spoiling the sums.
const MAX_TOKENS: u64 = 1 << 40;

/// What the request used that gave a message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct MessageUsage {
    input_tokens: u64,
    output_tokens: u64,
    cache_read_input_tokens: u64,
    cache_creation_input_tokens: u64,
    cost_usd: Option<f64>,
}

/// By `seq`, for the messages that have one.
pub(super) fn of_messages(
    connection: &Connection,
    number: i64,
    first: u64,
    last: u64,
) -> Result<HashMap<u64, MessageUsage>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT seq, input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens, cost_usd
         FROM usage WHERE session = ?1 AND seq BETWEEN ?2 AND ?3",
    )?;
    let mut rows = select.query([number, first.cast_signed(), last.cast_signed()])?;
    let mut found = HashMap::new();
    while let Some(row) = rows.next()? {
        let count = |column: usize| to_count(row.get(column)?);
        let usage = MessageUsage {
            input_tokens: count(1)?,
            output_tokens: count(2)?,
            cache_read_input_tokens: count(3)?,
            cache_creation_input_tokens: count(4)?,
            cost_usd: row.get(5)?,
        };
        found.insert(count(0)?, usage);
    }
    Ok(found)
}

/// Stores one request's usage, by message where it gave one, and adds it to its session's sums.
pub(super) fn record(
    connection: &Connection,
    number: i64,
    seq: Option<u64>,
    usage: &Usage,
    cost_usd: Option<f64>,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    // SQLite has no NaN; a price that is not a number is not a price.
    let cost = cost_usd.filter(|cost| cost.is_finite());
    let tokens = |count: Option<u64>| count.unwrap_or(0).min(MAX_TOKENS).cast_signed();
    let [input, output, cache_read, cache_creation] = [
        tokens(usage.input_tokens),
        tokens(usage.output_tokens),
        tokens(usage.cache_read_input_tokens),
        tokens(usage.cache_creation_input_tokens),
    ];
    connection
        .prepare_cached(
            "INSERT INTO usage (session, seq, created, cost_usd, input_tokens, output_tokens, cache_read_tokens, \
             cache_creation_tokens) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            number,
            seq.map(u64::cast_signed),
            from_time(now),
            cost,
            input,
            output,
            cache_read,
            cache_creation
        ])?;
    connection
        .prepare_cached(
            "UPDATE sessions SET requests = requests + 1, cost_usd = cost_usd + coalesce(?2, 0),
             unpriced = unpriced + (?2 IS NULL), input_tokens = input_tokens + ?3,
             output_tokens = output_tokens + ?4, cache_read_tokens = cache_read_tokens + ?5,
             cache_creation_tokens = cache_creation_tokens + ?6, updated = max(updated, ?7) WHERE number = ?1",
        )?
        .execute(params![number, cost, input, output, cache_read, cache_creation, from_time(now)])?;
    Ok(())
}

pub(super) fn total(connection: &Connection, scope: CostScope) -> Result<Cost, Fault> {
    let (from, until) = match scope {
        CostScope::Session(id) => return Ok(catalogue::get(connection, id)?.cost),
        CostScope::Between(from, until) => (from, until),
    };
    let mut sum = connection.prepare_cached(
        "SELECT total(cost_usd), count(*), count(*) - count(cost_usd), coalesce(sum(input_tokens), 0),
         coalesce(sum(output_tokens), 0), coalesce(sum(cache_read_tokens), 0),
         coalesce(sum(cache_creation_tokens), 0) FROM usage WHERE created >= ?1 AND created < ?2",
    )?;
    let (usd, counts): (f64, [i64; 6]) = sum.query_row([from_time(from), from_time(until)], |row| {
        let count = |column: usize| row.get(column);
        Ok((
            row.get(0)?,
            [count(1)?, count(2)?, count(3)?, count(4)?, count(5)?, count(6)?],
        ))
    })?;
    Ok(Cost {
        usd,
        requests: to_count(counts[0])?,
        unpriced: to_count(counts[1])?,
        input_tokens: to_count(counts[2])?,
        output_tokens: to_count(counts[3])?,
        cache_read_input_tokens: to_count(counts[4])?,
        cache_creation_input_tokens: to_count(counts[5])?,
    })
}
