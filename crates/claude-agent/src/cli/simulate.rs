//! `simulate`: the simulated Messages API alone, until it is interrupted.

use agent_simulator::{Exposure, FaultSpec, Scenario, Simulator, SimulatorConfig, SimulatorError};

use super::args::SimulateArgs;
use super::exit::Exit;
use super::output::Table;
use super::signals::Interrupts;
use super::{Failure, output};

pub(super) async fn execute(args: SimulateArgs, quiet: bool) -> Result<Exit, Failure> {
    if args.list_faults {
        list_faults()?;
        return Ok(Exit::Done);
    }
    let scenario = args
        .scenario
        .as_deref()
        .map(Scenario::load)
        .transpose()
        .map_err(|error| {
            Failure::new(
                Exit::Misconfigured,
                format!("the scenario can't be used: {error}"),
            )
        })?;
    // Whoever names an address that others reach means it; it is said aloud below.
    let exposure = if args.listen.ip().is_loopback() {
        Exposure::Loopback
    } else {
        Exposure::Network
    };
    let config = SimulatorConfig {
        listen: args.listen,
        exposure,
        seed: args.seed,
        scenario,
        faults: args.faults,
        ..SimulatorConfig::default()
    };
    let mut interrupts = Interrupts::listen()?;
    let simulator = Simulator::bind(config).await?;
    output::line(&format!("simulated Messages API on {}", simulator.base_url()))?;
    if !quiet {
        output::note(&format!(
            "export ANTHROPIC_BASE_URL={} ANTHROPIC_API_KEY=simulated",
            simulator.base_url()
        ));
        if exposure == Exposure::Network {
            output::note("warning: other machines can reach this address, and any key is accepted");
        }
    }
    interrupts.next().await;
    simulator.stop().await;
    Ok(Exit::Done)
}

fn list_faults() -> Result<(), Failure> {
    let mut table = Table::new(&["example", "what happens"]);
    for fault in FaultSpec::all() {
        table.row([fault.example.to_owned(), fault.help.to_owned()]);
    }
    output::raw(&table.to_string())?;
    output::line("\n*N strikes N requests at the most; @P strikes with this chance, for instance @0.3")
}

impl From<SimulatorError> for Failure {
    fn from(error: SimulatorError) -> Self {
        Self::new(Exit::Failed, error.to_string())
            .advise("choose another address with --listen, for instance 127.0.0.1:0 for a free port")
    }
}
