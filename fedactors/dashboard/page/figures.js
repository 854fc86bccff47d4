// How numbers are written for people: the same forms as on the terminal (fedactors/observe/figures.py).

export function duration(seconds) {
  if (seconds < 9.95) return seconds < 0.995 ? `${Number(seconds.toPrecision(2))} s` : `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}

export function size(bytes) {
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (bytes < 999.5) return unit === "B" || bytes >= 99.95 ? `${bytes.toFixed(0)} ${unit}` : `${bytes.toFixed(1)} ${unit}`;
    bytes /= 1000;
  }
  return `${bytes.toFixed(1)} TB`;
}

export function value(number) {
  return number === null ? "nan" : String(Number(number.toPrecision(4)));
}

export function metrics(values) {
  return Object.entries(values).map(([name, number]) => `${name} ${value(number)}`).join("  ");
}

export function counted(number, thing) {
  return `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;
}

export function clock(unixSeconds) {
  return new Date(unixSeconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}
