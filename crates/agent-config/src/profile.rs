//! What an environment changes in the defaults. A profile may be overridden by every file; what `Production` refuses
//! is refused by validation, whoever set it.

use crate::choice::DeploymentEnvironment;
use crate::document::Leaf;
use crate::keys;
use crate::problem::{Layer, Origin};

/// Keys and values, written as on the command line.
type Profile = &'static [(&'static str, &'static str)];

/// A person's own machine: the built-in defaults are made for it.
const DEVELOPMENT: Profile = &[];
/// Staging rehearses what production will ask for.
const STAGING: Profile = PRODUCTION;
/// Unattended: what no rule knows is not done on the quiet.
const PRODUCTION: Profile = &[("security.whitelist_enforcement_level", "Enforce")];

/// The values that the profile of `environment` sets.
pub(crate) fn leaves(environment: DeploymentEnvironment) -> Vec<Leaf> {
    let profile = match environment {
        DeploymentEnvironment::Development => DEVELOPMENT,
        DeploymentEnvironment::Staging => STAGING,
        DeploymentEnvironment::Production => PRODUCTION,
    };
    let origin = Origin::named(Layer::Profile, environment.as_str());
    let leaf = |(name, text): &(&str, &str)| {
        let key = keys::find(name)?;
        Some(Leaf {
            key,
            value: key.kind.literal(text),
            origin: origin.clone(),
        })
    };
    profile.iter().filter_map(leaf).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sections::ProductionConfig;

    #[test]
    fn every_profile_is_known_and_valid() {
        for (profile, environment) in [
            (DEVELOPMENT, DeploymentEnvironment::Development),
            (STAGING, DeploymentEnvironment::Staging),
            (PRODUCTION, DeploymentEnvironment::Production),
        ] {
            let leaves = leaves(environment);
            assert_eq!(leaves.len(), profile.len(), "{environment}: a key does not exist");
            let mut config = ProductionConfig {
                environment,
                ..Default::default()
            };
            for leaf in leaves {
                leaf.key.set(&mut config, leaf.value).unwrap();
            }
            config.validate().unwrap();
        }
    }
}
