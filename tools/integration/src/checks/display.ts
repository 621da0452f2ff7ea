import type { World } from '../world/world.js';

/** Where the display of the guest is, by what the host says that it runs on. */
export async function displayOf({ here, uuid }: World) {
  const { display } = await here.sourceClient().domain(uuid);
  if (display?.port == null) throw new Error(`the guest has no display on ${here.name}`);
  return { ...display, port: display.port };
}
