// The runs as the page knows them: whole replies at first, later only points that are new.
const below = (sorted, value) => {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
};

const extended = (old, fresh) => {
  if (!old || !fresh.since_step) return fresh;
  const kept = below(old.x, fresh.since_step);
  if (kept === old.x.length && !fresh.x.length) return old; // the same arrays, so nothing is drawn again
  return { ...fresh, x: old.x.slice(0, kept).concat(fresh.x), y: old.y.slice(0, kept).concat(fresh.y) };
};

export class Store {
  constructor() {
    this.clear();
  }

  clear() {
    Object.assign(this, { known: new Map(), order: [], workers: [], pages: null, time: 0, loaded: false });
  }

  get runs() { return this.order.map((id) => this.known.get(id)); }

  run(id) { return this.known.get(id); }

  // The version to ask from: all is new of a run that was not seen.
  since(id) { return this.known.get(id)?.version ?? 0; }

  // False if the scheduler is another one than before, so all that is known is of no use.
  merge(reply, since) {
    if (since && reply.version < since) return false;
    Object.assign(this, { workers: reply.workers ?? [], pages: reply.dask_pages ?? [], time: reply.time, loaded: true });
    this.order = reply.runs.map((run) => run.id);
    for (const id of this.known.keys()) if (!this.order.includes(id)) this.known.delete(id);
    reply.runs.forEach((run, i) => {
      const entry = this.known.get(run.id) ?? { id: run.id, series: new Map(), detail: {} };
      this.known.set(run.id, entry);
      entry.head = run;
      entry.colour = (reply.runs.length - 1 - i) % 10;
      if (!run.series) return;
      const series = new Map();
      for (const fresh of run.series) {
        const key = JSON.stringify([fresh.name, fresh.part, fresh.each]);
        series.set(key, extended(since ? entry.series.get(key) : null, fresh));
      }
      for (const [key, old] of entry.series) if (since && !series.has(key)) series.set(key, old);
      Object.assign(entry, { series, detail: run, version: reply.version, seenAt: stage(run) });
    });
    return true;
  }

  // Whether curves of a run are older than its numbers.
  isBehind(id) {
    const entry = this.known.get(id);
    return Boolean(entry) && entry.seenAt !== stage(entry.head);
  }
}

const stage = (run) => `${run.state} ${run.step}`;

export const seriesOf = (entry, name, part, each) => entry.series.get(JSON.stringify([name, part, each]));
