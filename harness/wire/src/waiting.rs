//! Bytes that wait in the kernel for a proxy to read them: the proof that a link is cut.

use std::io;

/// The state of an established connection in `/proc/net/tcp`.
const ESTABLISHED: &str = "01";

/// Bytes that were received on connections to this local port, and not read yet.
///
/// # Errors
/// The kernel's tables cannot be read.
pub fn waiting_bytes(port: u16) -> io::Result<u64> {
    let mut bytes = of_table(&std::fs::read_to_string("/proc/net/tcp")?, port);
    match std::fs::read_to_string("/proc/net/tcp6") {
        Ok(table) => bytes += of_table(&table, port),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(bytes)
}

/// `sl local_address rem_address st tx_queue:rx_queue …`, in hexadecimal.
fn of_table(table: &str, port: u16) -> u64 {
    let local = format!(":{port:04X}");
    let queue = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (address, _, state) = (fields.next()?, fields.next()?, fields.next()?);
        let (_, received) = fields.next()?.split_once(':')?;
        let is_mine = address.ends_with(&local) && state == ESTABLISHED;
        is_mine.then(|| u64::from_str_radix(received, 16).ok()).flatten()
    };
    table.lines().filter_map(queue).sum()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    // Bytes of another port, or of a socket that listens, would prove a cut that is none.
    #[test]
    fn only_unread_bytes_of_this_ports_connections_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
             0: 010011AC:5BA0 020011AC:9C40 01 00000000:0000001F 00:00000000\n\
             1: 010011AC:5BA1 020011AC:9C41 01 00000000:00000100 00:00000000\n\
             2: 00000000:5BA0 00000000:0000 0A 00000000:00000003 00:00000000\n";
        assert_eq!(of_table(table, 0x5BA0), 0x1F);
        assert_eq!(of_table(table, 80), 0);
    }

    #[test]
    fn what_is_not_read_is_seen() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let mut client = TcpStream::connect(("127.0.0.1", port))?;
        let (_server, _) = listener.accept()?;
        assert_eq!(waiting_bytes(port)?, 0);
        client.write_all(b"four")?;
        // Loopback hands it over before the write comes back.
        assert_eq!(waiting_bytes(port)?, 4);
        Ok(())
    }
}
