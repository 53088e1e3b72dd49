use super::*;

async fn opened(text: &str) -> Result<Patch, PatchError> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mine.patch");
    std::fs::write(&file, text).unwrap();
    Patch::open(&file).await
}

/// A patch that changes the first line of `file`.
fn first_line_of(file: &str) -> String {
    let text = std::fs::read_to_string(workspace_root().unwrap().join(file)).unwrap();
    let line = text.lines().next().unwrap();
    let more = text.lines().skip(1).take(3).map(|line| format!(" {line}\n")).collect::<String>();
    format!("--- a/{file}\n+++ b/{file}\n@@ -1,4 +1,4 @@\n-{line}\n+{line} changed\n{more}")
}

#[tokio::test]
async fn a_patch_of_the_tablet_applies_and_leaves_the_checkout_alone() {
    let file = workspace_root().unwrap().join("tablet/src/lib.rs");
    let before = std::fs::read(&file).unwrap();
    let patch = opened(&first_line_of("tablet/src/lib.rs")).await.unwrap();
    assert_eq!(patch.name(), "mine.patch");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

/// The example in the docs must go on applying when the tablet changes.
#[tokio::test]
async fn the_example_applies() {
    let example =
        workspace_root().unwrap().join("harness/system-tablet/zoo/cursor-forgotten.patch");
    Patch::open(&example).await.unwrap();
}

/// Otherwise a patch that cannot have an effect would be reported as not found.
#[tokio::test]
async fn a_patch_of_anything_else_is_refused_by_the_name_of_the_file() {
    let both = first_line_of("tablet/src/lib.rs") + &first_line_of("reports/src/lib.rs");
    let error = opened(&both).await.unwrap_err();
    assert!(error.is_usage());
    let text = error.to_string();
    assert!(text.contains("changes reports/src/lib.rs: only files in tablet/"), "{text}");
}

#[tokio::test]
async fn what_does_not_apply_is_refused_with_what_git_said() {
    let stale = first_line_of("tablet/src/lib.rs").replace("\n-", "\n-not ");
    for text in ["", "hello\n", &stale] {
        let error = opened(text).await.unwrap_err();
        let told = error.to_string();
        assert!(error.is_usage() && told.contains("mine.patch does not apply"), "{told}");
        assert!(told.contains("as `git diff` writes it"), "{told}");
    }
}

/// Git would write outside the copy, into whatever lies there.
#[tokio::test]
async fn a_patch_cannot_leave_the_copy() {
    let text = "--- /dev/null\n+++ b/../escaped\n@@ -0,0 +1 @@\n+x\n";
    let error = opened(text).await.unwrap_err();
    assert!(matches!(error, PatchError::DoesNotApply { .. }), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    for file in ["no/such.patch", "."] {
        let error = Patch::open(Path::new(file)).await.unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("cannot be read"), "{error}");
    }
}

/// `target-1` of a developer holds gigabytes; `reports/src` is needed to build.
#[test]
fn build_outputs_and_runs_are_not_copied() {
    assert!(!is_source("target") && !is_source("target-1") && !is_source(".git"));
    assert!(!is_source("runs") && is_source("src") && is_source("tablet"));
}
