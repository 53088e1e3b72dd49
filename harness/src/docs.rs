//! That the tables of the documents say what the program knows.

use records::tellings::Telling;

const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");

#[test]
fn architecture_says_what_is_judged_by_what_is_told() {
    for telling in Telling::ALL {
        let judged: Vec<String> = telling
            .judged_by_it()
            .iter()
            .map(|(invariant, part)| format!("{invariant}: {part}"))
            .collect();
        let row = format!("| {} | {} |", telling.words(), judged.join(" · "));
        assert!(ARCHITECTURE.contains(&row), "ARCHITECTURE.md lacks the row\n{row}");
    }
}
