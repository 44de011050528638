//! The Messages API: types, streaming, client, retries, prices.
