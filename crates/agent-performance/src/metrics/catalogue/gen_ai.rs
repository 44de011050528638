//! Names of the conventions for generative models, for MCP and for HTTP, and of our own where they have none.

use super::bounds::{GENERATION_SECONDS, HTTP_SECONDS, MCP_SECONDS, TASK_SECONDS, TOKENS};
use super::{Declaration, MetricUnit};

const OPERATION: &[&str] = &[
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "server.address",
    "server.port",
    "error.type",
];

const TOKEN: &[&str] = &[
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "server.address",
    "server.port",
    "error.type",
    "gen_ai.token.type",
];

const MCP: &[&str] = &["mcp.method.name", "gen_ai.tool.name", "error.type"];

pub(super) const ROWS: &[Declaration] = &[
    Declaration::histogram(
        "gen_ai.client.operation.duration",
        MetricUnit::Seconds,
        "Time from sending a request to the end of its answer",
        OPERATION,
        GENERATION_SECONDS,
    ),
    Declaration::histogram(
        "gen_ai.client.operation.time_to_first_chunk",
        MetricUnit::Seconds,
        "Time from sending a request to the first piece of a streamed answer",
        OPERATION,
        GENERATION_SECONDS,
    ),
    Declaration::histogram(
        "gen_ai.client.operation.time_per_output_chunk",
        MetricUnit::Seconds,
        "Time between two pieces of a streamed answer",
        OPERATION,
        GENERATION_SECONDS,
    ),
    Declaration::histogram(
        "gen_ai.client.token.usage",
        MetricUnit::Count,
        "Tokens of a request, cached ones included, or of its answer, by `gen_ai.token.type` = `input` or `output`",
        TOKEN,
        TOKENS,
    ),
    Declaration::histogram(
        "gen_ai.execute_tool.duration",
        MetricUnit::Seconds,
        "Time that a tool ran",
        &["gen_ai.tool.name", "gen_ai.tool.type", "error.type"],
        GENERATION_SECONDS,
    ),
    Declaration::histogram(
        "gen_ai.invoke_agent.duration",
        MetricUnit::Seconds,
        "Time that the agent worked on a prompt",
        &["gen_ai.agent.name", "error.type"],
        TASK_SECONDS,
    ),
    Declaration::histogram(
        "mcp.client.operation.duration",
        MetricUnit::Seconds,
        "Time of a call to an MCP server",
        MCP,
        MCP_SECONDS,
    ),
    Declaration::histogram(
        "mcp.client.session.duration",
        MetricUnit::Seconds,
        "Time that a session with an MCP server lasted",
        MCP,
        MCP_SECONDS,
    ),
    Declaration::histogram(
        "http.client.request.duration",
        MetricUnit::Seconds,
        "Time of an HTTP request that we sent",
        &[
            "http.request.method",
            "http.response.status_code",
            "server.address",
            "server.port",
            "error.type",
        ],
        HTTP_SECONDS,
    ),
    Declaration::histogram(
        "http.server.request.duration",
        MetricUnit::Seconds,
        "Time of an HTTP request that we answered",
        &[
            "http.request.method",
            "http.route",
            "http.response.status_code",
            "error.type",
        ],
        HTTP_SECONDS,
    ),
    Declaration::counter(
        "agent_cost_usd_total",
        "US dollars spent, by the price table of the release",
        &["gen_ai.request.model"],
    ),
];
