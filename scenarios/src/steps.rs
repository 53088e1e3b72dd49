//! The steps: few, typed, combinable. Each is one act on the stage, or one judgement.

mod given;
mod then;
mod when;

use cucumber::Parameter;
use reports::schedule::{Fault, Phase, Trigger};

/// How the target tablet's process dies.
#[derive(Clone, Copy, Debug, Parameter)]
#[param(name = "death", regex = "killed|OOM-killed|asked to terminate")]
enum Death {
    Kill,
    Oom,
    Terminate,
}

impl std::str::FromStr for Death {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "killed" => Ok(Self::Kill),
            "OOM-killed" => Ok(Self::Oom),
            "asked to terminate" => Ok(Self::Terminate),
            other => Err(format!("unknown death `{other}`")),
        }
    }
}

impl From<Death> for Fault {
    fn from(death: Death) -> Self {
        match death {
            Death::Kill => Self::Sigkill,
            Death::Oom => Self::Oom,
            Death::Terminate => Self::Sigterm,
        }
    }
}

/// What befalls the cluster.
#[derive(Clone, Copy, Debug, Parameter)]
#[param(
    name = "harm",
    regex = "the target's MySQL is killed|the source's MySQL is killed|the source tablet is killed|etcd is killed|the target tablet's connections are killed|the target's MySQL takes no writes|the table of checkpoints is locked|the target tablet's lease ends|another tablet becomes primary|a new container takes the frozen target tablet's alias"
)]
struct Harm(Fault);

impl std::str::FromStr for Harm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "the target's MySQL is killed" => Ok(Self(Fault::MysqlKill)),
            "the source's MySQL is killed" => Ok(Self(Fault::MysqlSourceKill)),
            "the source tablet is killed" => Ok(Self(Fault::SourceKill)),
            "etcd is killed" => Ok(Self(Fault::EtcdKill)),
            "the target tablet's connections are killed" => Ok(Self(Fault::MysqlConnectionKill)),
            "the target's MySQL takes no writes" => Ok(Self(Fault::MysqlReadonly)),
            "the table of checkpoints is locked" => Ok(Self(Fault::LockTable)),
            "the target tablet's lease ends" => Ok(Self(Fault::LeaseExpiry)),
            "another tablet becomes primary" => Ok(Self(Fault::Demote)),
            "a new container takes the frozen target tablet's alias" => {
                Ok(Self(Fault::TabletReplace))
            }
            other => Err(format!("unknown harm `{other}`")),
        }
    }
}

/// A phase of a diff.
#[derive(Clone, Copy, Debug, Parameter)]
#[param(name = "phase", regex = "snapshot|streaming|reconcile|completing")]
struct InPhase(Phase);

impl std::str::FromStr for InPhase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "snapshot" => Ok(Self(Phase::Snapshot)),
            "streaming" => Ok(Self(Phase::Streaming)),
            "reconcile" => Ok(Self(Phase::Reconcile)),
            "completing" => Ok(Self(Phase::Completing)),
            other => Err(format!("unknown phase `{other}`")),
        }
    }
}

/// At so many percent of the rows.
fn at(percent: u8) -> Trigger {
    Trigger::Progress { fraction: f64::from(percent) / 100.0 }
}
