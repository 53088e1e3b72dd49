use proptest::prelude::*;

use super::super::packet::tests::message;
use super::*;

const MORE: u16 = StatusFlags::SERVER_MORE_RESULTS_EXISTS.bits();
const CURSOR: u16 = StatusFlags::SERVER_STATUS_CURSOR_EXISTS.bits();
const DEFINITION: &[u8] = b"\x03def\x01d\x01t";

fn ok(header: u8, status: u16) -> Vec<u8> {
    let mut said = vec![header, 0xfc, 1, 2, 0];
    said.extend(status.to_le_bytes());
    said.extend(b"\0\0and information");
    message(7, &said)
}

fn eof(status: u16) -> Vec<u8> {
    let mut said = vec![0xfe, 0, 0];
    said.extend(status.to_le_bytes());
    message(7, &said)
}

fn error() -> Vec<u8> {
    message(1, b"\xff\x15\x04#28000Access denied")
}

/// A result set, as a server sends it.
fn rows(rows: &[Vec<u8>], no_eof: bool, status: u16) -> Vec<u8> {
    let mut bytes = message(1, &[2]);
    bytes.extend([message(2, DEFINITION), message(3, DEFINITION)].concat());
    if !no_eof {
        bytes.extend(eof(0));
    }
    bytes.extend(rows.iter().flat_map(|row| message(4, row)));
    bytes.extend(if no_eof { ok(0xfe, status) } else { eof(status) });
    bytes
}

fn prepared(columns: u16, parameters: u16, no_eof: bool) -> Vec<u8> {
    let mut said = vec![0, 9, 1, 0, 0];
    said.extend(columns.to_le_bytes());
    said.extend(parameters.to_le_bytes());
    said.extend([0, 0, 0]);
    let mut bytes = message(1, &said);
    for count in [parameters, columns] {
        bytes.extend((0..count).flat_map(|_| message(2, DEFINITION)));
        if count > 0 && !no_eof {
            bytes.extend(eof(0));
        }
    }
    bytes
}

/// Feeds the bytes in pieces; returns what belongs to the response, and whether it ended.
fn walk(response: &mut Response, bytes: &[u8], piece: usize) -> (usize, Step) {
    let mut at = 0;
    for bytes in bytes.chunks(piece) {
        let (length, step) = response.walk(bytes);
        at += length;
        if step != Step::More {
            return (at, step);
        }
        assert_eq!(length, bytes.len(), "all of it, while more is to come");
    }
    (at, Step::More)
}

/// The response ends where it ends, however it is cut, and never earlier.
fn assert_whole(answer: Answer, bytes: &[u8], no_eof: bool) {
    let mut with_next = bytes.to_vec();
    with_next.extend(ok(0, 0));
    for piece in [1, 2, 3, 5, 7, 64, with_next.len()] {
        let mut response = Response::to_come(answer, no_eof).unwrap();
        let walked = walk(&mut response, &with_next, piece);
        assert_eq!(walked, (bytes.len(), Step::Done), "{answer:?} {no_eof} in pieces of {piece}");
    }
    for cut in 0..bytes.len() {
        let mut response = Response::to_come(answer, no_eof).unwrap();
        assert_eq!(response.walk(&bytes[..cut]), (cut, Step::More));
        assert_eq!(response.walk(&bytes[cut..]), (bytes.len() - cut, Step::Done));
    }
}

#[test]
fn every_kind_of_response_ends_where_it_ends() {
    let row = |text: &[u8]| text.to_vec();
    for no_eof in [false, true] {
        let one = rows(&[row(b"\x011\xfb"), row(b"\x012\x01x")], no_eof, 2);
        let none = rows(&[], no_eof, 2);
        let more = rows(&[row(b"\x011\xfb")], no_eof, MORE);
        // Binary rows begin with a zero, as an OK packet does.
        let binary = rows(&[row(b"\0\0\x01\0\0\0"), row(b"\0\x04")], no_eof, 2);
        let between = if no_eof { Vec::new() } else { eof(0) };
        let broken =
            [message(1, &[1]), message(2, DEFINITION), between, message(4, b"\x011"), error()];
        for bytes in [
            ok(0, 2),
            error(),
            one.clone(),
            none,
            binary,
            [more.clone(), ok(0, MORE), one.clone()].concat(),
            [more, error()].concat(),
            [ok(0, MORE), ok(0, 0)].concat(),
            broken.concat(),
        ] {
            assert_whole(Answer::Results, &bytes, no_eof);
        }
        for (columns, parameters) in [(0, 0), (2, 0), (0, 3), (300, 2)] {
            assert_whole(Answer::Prepared, &prepared(columns, parameters, no_eof), no_eof);
        }
        assert_whole(Answer::Prepared, &error(), no_eof);
        let end = if no_eof { ok(0xfe, 0x80) } else { eof(0x80) };
        assert_whole(Answer::Rows, &[message(1, b"\0\0\x07"), end].concat(), no_eof);
        assert_whole(Answer::Single, &message(1, b"Uptime: 7"), no_eof);
    }
}

/// With a cursor there is one end only: the rows are fetched later.
#[test]
fn a_cursor_has_no_rows_of_its_own() {
    let opened = [message(1, &[1]), message(2, DEFINITION), eof(CURSOR)].concat();
    assert_whole(Answer::Results, &opened, false);
    assert_whole(Answer::Results, &rows(&[], true, CURSOR), true);
}

#[test]
fn a_prepared_statement_tells_its_number() {
    let mut response = Response::to_come(Answer::Prepared, true).unwrap();
    response.walk(&prepared(1, 2, true));
    assert_eq!(response.prepared(), Some(265));
}

#[test]
fn a_file_is_asked_for_and_the_response_goes_on() {
    let mut response = Response::to_come(Answer::Results, true).unwrap();
    let asked = message(1, b"\xfbdata.csv");
    assert_eq!(response.walk(&asked), (asked.len(), Step::File));
    assert_eq!(response.walk(&ok(0, 0)), (ok(0, 0).len(), Step::Done));
}

/// A row of 16 MiB or more begins like an end, and goes on over packets whose first bytes mean nothing.
#[test]
fn a_giant_row_is_no_end() {
    let mut row = vec![0xfe, 0, 0, 0, 1, 0, 0, 0, 0];
    row.resize(LONGEST + 9, 0xff);
    for no_eof in [false, true] {
        let bytes = rows(&[row.clone(), vec![1, 7]], no_eof, 0);
        for piece in [4096, 1 << 20, bytes.len()] {
            let mut response = Response::to_come(Answer::Results, no_eof).unwrap();
            assert_eq!(walk(&mut response, &bytes, piece), (bytes.len(), Step::Done));
        }
    }
}

proptest! {
    #[test]
    fn result_sets_of_any_rows_cut_anywhere(
        set in prop::collection::vec(prop::collection::vec(0..0xfd_u8, 1..40), 0..30),
        no_eof in any::<bool>(),
        piece in 1..200_usize,
    ) {
        let bytes = [rows(&set, no_eof, MORE), rows(&set, no_eof, 0)].concat();
        let mut response = Response::to_come(Answer::Results, no_eof).unwrap();
        prop_assert_eq!(walk(&mut response, &bytes, piece), (bytes.len(), Step::Done));
    }

    #[test]
    fn any_bytes_are_walked(bytes in prop::collection::vec(any::<u8>(), 0..400), piece in 1..50_usize) {
        for answer in [Answer::Results, Answer::Prepared, Answer::Rows, Answer::Single] {
            let mut response = Response::to_come(answer, piece % 2 == 0).unwrap();
            walk(&mut response, &bytes, piece);
        }
    }
}
