//! The user's Vitess: an image of it, or its programs, of which an image is made. Nothing of it comes from here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::docker::{ContainerSpec, DockerError, Engine, Run};
use engine::images::{self, Image, ImageError, Program, Say};

use super::release::Release;

/// Where the programs lie in an image: as in Vitess's own.
pub(super) const PROGRAMS: &str = "vt/bin";
const NEEDED: [&str; 3] = ["vttablet", "vtctld", "vtctldclient"];
/// A program says its version in this time, its container's start included.
const SAYS_WITHIN: Duration = Duration::from_secs(30);
const LAST_LINES: usize = 20;

/// Where the user has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VitessSource {
    /// An image, such as the official `vitess/lite`.
    Image(String),
    /// A directory of static programs.
    Programs(PathBuf),
}

/// Names a Vitess for whoever gives none: a directory, or an image.
const VARIABLE: &str = "VDIFF_CHAOS_VITESS";

impl VitessSource {
    /// What the environment's `VDIFF_CHAOS_VITESS` names; none: nothing.
    #[must_use]
    pub fn of_environment() -> Option<VitessSource> {
        let named = std::env::var(VARIABLE).ok().filter(|named| !named.is_empty())?;
        let directory = PathBuf::from(&named);
        Some(match directory.is_dir() {
            true => VitessSource::Programs(directory),
            false => VitessSource::Image(named),
        })
    }
}

/// How it is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VitessOptions {
    /// Where it comes from.
    pub source: VitessSource,
    /// Further options of each tablet, as its command line takes them.
    pub tablet_flags: Vec<String>,
}

/// A Vitess that can be started.
#[derive(Clone, Debug)]
pub struct Vitess {
    /// Its image.
    pub image: Image,
    /// Which it is.
    pub release: Release,
    /// See [`VitessOptions::tablet_flags`].
    pub tablet_flags: Vec<String>,
    /// As what its MySQL must greet it; none: as what it is.
    pub greeting: Option<&'static str>,
    /// The memory helper, for its tablets' containers; none: why it could not be made.
    pub helper: Result<Arc<Vec<u8>>, String>,
}

/// There is no Vitess that could be started.
#[derive(Debug, thiserror::Error)]
pub enum VitessError {
    /// Its image cannot be had.
    #[error("Vitess's image")]
    Image(#[source] ImageError),
    /// The engine failed.
    #[error("asking {program} for its version")]
    Engine {
        /// Of which program.
        program: &'static str,
        /// Why.
        #[source]
        source: DockerError,
    },
    /// A program does not run, or is not what it should be.
    #[error(
        "{image} has no /{PROGRAMS}/{program} that says its version ({said}): an image with vttablet, vtctld and \
         vtctldclient there is needed, such as vitess/lite"
    )]
    Program {
        /// The image.
        image: String,
        /// The program.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// It is of a release that cannot stand here.
    #[error("{0}")]
    TooOld(String),
}

/// Makes sure that the image exists, and asks each program for its version. `mysql` is the image of its servers.
///
/// # Errors
/// When the image cannot be had or made, or lacks a program, or is too old.
pub async fn ensure(
    engine: &Engine,
    options: &VitessOptions,
    mysql: &Image,
    say: Say<'_>,
) -> Result<Vitess, VitessError> {
    let image = match &options.source {
        VitessSource::Image(name) => images::named(engine, name, say).await,
        VitessSource::Programs(directory) => {
            let program = |name: &&str| Program {
                file: directory.join(name),
                place: format!("{PROGRAMS}/{name}"),
            };
            let programs: Vec<Program> = NEEDED.iter().map(program).collect();
            images::ensure_programs(engine, "vitess", &programs, say).await
        }
    };
    let image = image.map_err(VitessError::Image)?;
    let failed = |source| VitessError::Engine { program: NEEDED[0], source };
    let run = Run::begin(engine, &format!("{}-version", Run::fresh_id())).await.map_err(failed)?;
    let asked = async {
        let releases = NEEDED.map(|program| Box::pin(release_of(engine, &run, &image, program)));
        let (releases, mysql) =
            tokio::join!(first_of(releases), Box::pin(mysql_version(engine, &run, mysql)));
        Ok::<_, VitessError>((releases?, mysql))
    };
    let asked = asked.await;
    run.remove().await.map_err(failed)?;
    let (release, mysql) = asked?;
    if let Some(why) = release.too_old() {
        return Err(VitessError::TooOld(why));
    }
    say(&format!(
        "vitess {release}, on MySQL {}",
        mysql.as_deref().unwrap_or("of unknown version")
    ));
    let greeting = mysql.as_deref().and_then(|version| release.greeting_for(version));
    if let Some(greeting) = greeting {
        let own = mysql.unwrap_or_default();
        say(&format!(
            "Vitess {release} does not know MySQL {own}: a proxy has its servers greet it as {greeting}"
        ));
    }
    let helper = images::helper(say).await.map(Arc::new);
    Ok(Vitess {
        image,
        release,
        tablet_flags: options.tablet_flags.clone(),
        greeting,
        helper: helper.map_err(|error| engine::errors::chain(&error)),
    })
}

/// The first one's, where all answer.
async fn first_of<F>(asked: [F; 3]) -> Result<Release, VitessError>
where
    F: Future<Output = Result<Release, VitessError>>,
{
    let [tablet, vtctld, client] = asked;
    let (tablet, vtctld, client) = tokio::try_join!(tablet, vtctld, client)?;
    for other in [vtctld, client] {
        if other != tablet {
            tracing::warn!(%tablet, %other, "the programs are of different releases");
        }
    }
    Ok(tablet)
}

async fn release_of(
    engine: &Engine,
    run: &Run,
    image: &Image,
    program: &'static str,
) -> Result<Release, VitessError> {
    let said = said_by(engine, run, image, &format!("/{PROGRAMS}/{program}"), program).await;
    let said = match said {
        Ok(said) => said,
        // An image that lacks the program refuses to start it.
        Err(error @ DockerError::Launch { .. }) => engine::errors::innermost(&error),
        Err(source) => return Err(VitessError::Engine { program, source }),
    };
    let image = image.reference.clone();
    Release::read(&said).ok_or(VitessError::Program { image, program, said })
}

/// The version of the servers; none where they do not say.
async fn mysql_version(engine: &Engine, run: &Run, mysql: &Image) -> Option<String> {
    let said = said_by(engine, run, mysql, "mysqld", "mysqld").await;
    let said = said.inspect_err(|error| {
        let why = engine::errors::chain(error);
        tracing::warn!(why, "which MySQL that is, and whether this Vitess knows it");
    });
    let said = said.ok()?;
    // "mysqld  Ver 9.7.4 for Linux on x86_64 (Source distribution)"
    let (_, after) = said.split_once("Ver ")?;
    Some(after.split_whitespace().next()?.to_owned())
}

async fn said_by(
    engine: &Engine,
    run: &Run,
    image: &Image,
    program: &str,
    what: &str,
) -> Result<String, DockerError> {
    let spec = ContainerSpec {
        what: format!("version-{what}"),
        image: image.reference.clone(),
        entry_point: Some(program.to_owned()),
        command: vec!["--version".to_owned()],
        ..ContainerSpec::default()
    };
    let container = engine.launch(run.site(), spec).await?;
    engine.wait_exit(container.id(), SAYS_WITHIN).await?;
    let said = engine.last_log_lines(container.id(), LAST_LINES).await.join("\n");
    container.remove().await?;
    Ok(said)
}
