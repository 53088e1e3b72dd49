//! A feature file, read as Cucumber reads it where the parser does not: byte order mark, line ends, a file
//! without a feature, backslashes in tables, the language's comment, `*`, inherited tags.

use std::path::Path;

use cucumber::gherkin::{self, Feature, GherkinEnv, Scenario, Step, StepType};

/// The language of a file that names none.
const ENGLISH: &str = "en";

/// Reads a feature file, outlines not expanded; none when it is empty or all comments.
///
/// # Errors
/// When it cannot be read, or is no Gherkin.
pub(crate) fn read(path: &Path) -> Result<Option<Feature>, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|error| format!("it is not UTF-8: {error}"))?;
    let feature = parse(&text)?;
    Ok(feature.map(|feature| Feature { path: Some(path.to_owned()), ..feature }))
}

/// Reads a feature's text, outlines not expanded; none when it is empty or all comments.
///
/// # Errors
/// When it is no Gherkin.
pub(crate) fn parse(text: &str) -> Result<Option<Feature>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.lines().all(is_comment_or_blank) {
        return Ok(None);
    }
    let language = language(text).unwrap_or(ENGLISH);
    let environment = GherkinEnv::new(language).map_err(|error| error.to_string())?;
    let prepared = prepared(text);
    let mut feature = Feature::parse(&prepared, environment)
        .map_err(|error| syntax(&error.to_string(), &prepared))?;
    type_stars(&mut feature, language);
    inherit_tags(&mut feature);
    Ok(Some(feature))
}

fn is_comment_or_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// The language that the comments before the feature name.
fn language(text: &str) -> Option<&str> {
    text.lines().take_while(|line| is_comment_or_blank(line)).find_map(named_language)
}

fn named_language(line: &str) -> Option<&str> {
    let rest = line.trim().strip_prefix('#')?.trim_start().strip_prefix("language")?;
    let name = rest.trim_start().strip_prefix(':')?.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (!name.is_empty() && name.chars().all(is_name)).then_some(name)
}

/// The text as the parser takes it: line for line the same, so that its places are the file's.
fn prepared(text: &str) -> String {
    let mut prepared = String::with_capacity(text.len() + 1);
    let mut fence: Option<&str> = None;
    let mut before_feature = true;
    for line in text.lines() {
        let begins = line.trim_start();
        before_feature &= is_comment_or_blank(line);
        match fence {
            Some(end) if begins.starts_with(end) => fence = None,
            Some(_) => {}
            None => fence = ["\"\"\"", "```"].into_iter().find(|mark| begins.starts_with(*mark)),
        }
        match line {
            // The environment has it.
            line if before_feature && named_language(line).is_some() => prepared.push('#'),
            line if fence.is_none() && begins.starts_with('|') => push_cells(&mut prepared, line),
            line => prepared.push_str(line),
        }
        prepared.push('\n');
    }
    prepared
}

/// In a table only `\n`, `\|` and `\\` are escapes: any other backslash stands for itself.
fn push_cells(prepared: &mut String, line: &str) {
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        prepared.push(c);
        if c == '\\' {
            let escaped = chars.next_if(|next| matches!(next, 'n' | '|' | '\\'));
            prepared.push(escaped.unwrap_or('\\'));
        }
    }
}

/// The parser's error with the line that it is about.
fn syntax(error: &str, text: &str) -> String {
    let line = error.strip_prefix("Error at ").and_then(|rest| rest.split(':').next());
    let Some(number) = line.and_then(|line| line.parse::<usize>().ok()) else {
        return error.to_owned();
    };
    // The parser is a line further where it took the line for a description's end.
    let before = text.lines().take(number).enumerate().filter(|(_, line)| !line.trim().is_empty());
    match before.last() {
        Some((place, line)) => {
            format!("line {} is no Gherkin there: {:?} ({error})", place + 1, line.trim())
        }
        None => error.to_owned(),
    }
}

/// Gives each `*`, and what goes on after it, the type of the step before it, as `And` has it.
fn type_stars(feature: &mut Feature, language: &str) {
    let template = feature.clone();
    let goes_on = |keyword: &str| goes_on(&template, language, keyword);
    for steps in all_steps(feature) {
        let mut last = StepType::Given;
        let mut starred = false;
        for step in steps {
            let is_star = step.keyword.trim() == "*";
            // The parser takes a star for `Given`, and so what goes on after it.
            let followed = starred && step.ty == StepType::Given && goes_on(&step.keyword);
            if is_star || followed {
                step.ty = last;
            } else {
                starred = false;
            }
            starred |= is_star;
            last = step.ty;
        }
    }
}

fn all_steps(feature: &mut Feature) -> Vec<&mut Vec<Step>> {
    let mut all = Vec::new();
    all.extend(feature.background.as_mut().map(|background| &mut background.steps));
    all.extend(feature.scenarios.iter_mut().map(|scenario| &mut scenario.steps));
    for rule in &mut feature.rules {
        all.extend(rule.background.as_mut().map(|background| &mut background.steps));
        all.extend(rule.scenarios.iter_mut().map(|scenario| &mut scenario.steps));
    }
    all
}

/// Whether a keyword means `And` or `But` in this language: the parser is asked, by a feature of the file's
/// own keywords.
fn goes_on(feature: &Feature, language: &str, keyword: &str) -> bool {
    let mut scenarios = scenarios(feature);
    let Some(title) = scenarios.next().map(|scenario| scenario.keyword.clone()) else {
        return false;
    };
    let mut steps = feature.scenarios.iter().chain(feature.rules.iter().flat_map(|r| &r.scenarios));
    let other = steps
        .find_map(|scenario| scenario.steps.iter().find(|step| step.ty != StepType::Given))
        .map(|step| step.keyword.clone());
    let Some(other) = other else { return false };
    let text = format!("{}: x\n{title}: x\n{other} x\n{keyword} x\n", feature.keyword);
    let probe = GherkinEnv::new(language).ok().and_then(|env| Feature::parse(text, env).ok());
    let asked = probe.as_ref().and_then(|probe| probe.scenarios.first());
    asked.and_then(|it| it.steps.get(1)).is_some_and(|step| step.ty != StepType::Given)
}

/// All scenarios, those of rules too.
pub(crate) fn scenarios(feature: &Feature) -> impl Iterator<Item = &gherkin::Scenario> {
    feature.scenarios.iter().chain(feature.rules.iter().flat_map(|rule| &rule.scenarios))
}

/// Tags above `Feature:` and `Rule:` count for all scenarios below them.
fn inherit_tags(feature: &mut Feature) {
    let inherit = |scenario: &mut Scenario, tags: &[String]| {
        for tag in tags {
            if !scenario.tags.contains(tag) {
                scenario.tags.push(tag.clone());
            }
        }
    };
    for scenario in &mut feature.scenarios {
        inherit(scenario, &feature.tags);
    }
    for rule in &mut feature.rules {
        for scenario in &mut rule.scenarios {
            inherit(scenario, &rule.tags);
            inherit(scenario, &feature.tags);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature(text: &str) -> Feature {
        parse(text).unwrap_or_else(|error| panic!("{error}\n{text}")).expect("a feature")
    }

    fn types(text: &str) -> Vec<StepType> {
        feature(text).scenarios[0].steps.iter().map(|step| step.ty).collect()
    }

    #[test]
    fn a_byte_order_mark_and_line_ends_of_windows_do_no_harm() {
        let text = "\u{feff}# first\r\nFeature: F\r\n  Scenario: S\r\n    Given a b\r\n";
        let read = feature(text);
        assert_eq!((read.name.as_str(), read.scenarios[0].name.as_str()), ("F", "S"));
        assert_eq!(read.scenarios[0].steps[0].value, "a b");
        assert_eq!(read.scenarios[0].position.line, 3);
    }

    #[test]
    fn what_is_empty_or_commented_out_is_no_feature_and_no_error() {
        for text in ["", "\u{feff}", "\n\n", "# later\n  # Feature: x\n", "# language: de\r\n"] {
            assert_eq!(parse(text), Ok(None), "{text:?}");
        }
    }

    #[test]
    fn a_backslash_in_a_cell_is_as_cucumber_has_it() {
        let text = r#"
Feature: F
  Scenario Outline: S
    Given <x>
      """
      | \q |
      """
    Examples:
      | x                 |
      | select \"x\" \d   |
      | a\|b \\ c\nd      |
"#;
        let read = feature(text);
        let rows = &read.scenarios[0].examples[0].table.as_ref().unwrap().rows;
        assert_eq!(rows[1], [r#"select \"x\" \d"#]);
        assert_eq!(rows[2], ["a|b \\ c\nd"]);
        let docstring = read.scenarios[0].steps[0].docstring.as_ref().unwrap();
        assert!(docstring.contains(r"| \q |"), "{docstring}");
    }

    #[test]
    fn a_star_is_as_and() {
        use StepType::{Given, Then, When};
        let text = "Feature: F\n Scenario: S\n  * a\n  And a\n  When b\n  * c\n  And d\n  Then e\n  * f\n  But g\n  Given h\n  And i\n";
        let expected = [Given, Given, When, When, When, Then, Then, Then, Given, Given];
        assert_eq!(types(text), expected);
        let after_star = "Feature: F\n Scenario: S\n  When b\n  * c\n  Given d\n  * e\n";
        assert_eq!(types(after_star), [When, When, Given, Given]);
    }

    #[test]
    fn other_languages_are_read_and_an_unknown_one_is_named() {
        use StepType::{Given, Then, When};
        let german = "# ein Kommentar\n#language:de \nFunktionalität: F\n  Szenario: S\n    Angenommen a\n    Wenn b\n    * c\n    Und d\n    Dann e\n";
        assert_eq!(types(german), [Given, When, When, When, Then]);
        let french = "# language: fr\nFonctionnalité: F\n  Scénario: S\n    Soit a\n    Quand b\n    Et c\n    Alors d\n";
        assert_eq!(types(french), [Given, When, When, Then]);
        let japanese =
            "# language: ja\n機能: F\n  シナリオ: S\n    前提a\n    もしb\n    ならばc\n";
        assert_eq!(types(japanese), [Given, When, Then]);
        let unknown = parse("# language: xx\nFeature: F\n").unwrap_err();
        assert!(unknown.contains("xx"), "{unknown}");
    }

    #[test]
    fn tags_above_feature_and_rule_count_for_scenarios() {
        let text = "@a\nFeature: F\n  @b\n  Scenario: S\n    Given x\n  @c\n  Rule: R\n    @d @a\n    Scenario: T\n      Given x\n";
        let read = feature(text);
        assert_eq!(read.scenarios[0].tags, ["b", "a"]);
        assert_eq!(read.rules[0].scenarios[0].tags, ["d", "a", "c"]);
    }

    #[test]
    fn what_is_no_gherkin_is_told_with_its_line() {
        let error =
            parse("Feature: F\n  Scenario: S\n    Given a\n    Nonsense here\n").unwrap_err();
        assert!(error.contains("line 4") && error.contains("Nonsense"), "{error}");
    }
}
