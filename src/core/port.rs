//! Ports have numbers from 1 to N; lists of what there is once for each of them begin with port 1.

/// The number of a port as people write it: 1 to 255 in digits, without sign or leading zeros, so that each port
/// has one name.
pub fn port_number(text: &str) -> Option<u8> {
    let plain = text.bytes().all(|digit| digit.is_ascii_digit()) && !text.starts_with('0');
    plain.then(|| text.parse().ok())?
}

/// Where this port stands in a list with one entry for each, port 1 first; port 0, which is a plug as a whole, nowhere.
pub fn port_index(number: u8) -> Option<usize> {
    usize::from(number).checked_sub(1)
}

/// A list with one entry for each port, port 1 first, looked up by the number of the port. Port 0,
/// which is a plug as a whole, has no entry.
pub trait PerPort<T> {
    /// The entry of this port.
    fn port(&self, number: u8) -> Option<&T>;

    /// The same, to be changed.
    fn port_mut(&mut self, number: u8) -> Option<&mut T>;
}

impl<T> PerPort<T> for [T] {
    fn port(&self, number: u8) -> Option<&T> {
        self.get(port_index(number)?)
    }

    fn port_mut(&mut self, number: u8) -> Option<&mut T> {
        self.get_mut(port_index(number)?)
    }
}
