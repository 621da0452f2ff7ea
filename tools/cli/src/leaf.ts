import { type ClientOptions, DestinationAgentClient, SourceAgentClient } from '@vmferry/client';
import { VmferryError } from '@vmferry/errors';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { sourceUrl } from './arguments.js';
import type { CliContext } from './context.js';
import { type ExitCode, exitCodes } from './exit-code.js';
import { failureJson, failureText } from './output/failure.js';
import { printable } from './output/printable.js';

const sourceUrlDefault = 'http://127.0.0.1:7801';
const destinationUrlDefault = 'http://127.0.0.1:7802';

/** One call of a command: its arguments and options as commander has checked them. */
export interface Call<O> {
  readonly context: CliContext;
  readonly args: readonly string[];
  readonly options: O;
  readonly json: boolean;
  /** The source-agent that -c, else VMFERRY_URL, else the default names. */
  source(): SourceAgentClient;
  /** The destination-agent that -c, else the default names: VMFERRY_URL is of a source-agent. */
  destination(): DestinationAgentClient;
  /** Prints `text`, or with --json the value on one line. */
  print(text: string, value: unknown): void;
}

type Act<O> = (call: Call<O>) => Promise<ExitCode | undefined>;

/** Where the exit code of the command that ran is put. */
interface Exit {
  code: ExitCode;
}

export interface Room {
  readonly context: CliContext;
  readonly exit: Exit;
  /** --json was given, wherever the command line is wrong. */
  readonly json: boolean;
}

const jsonOption = () => new Option('--json', 'print JSON, one document a line; errors go to stderr as problem documents');

export const connectOption = (agent: string, parse = sourceUrl) =>
  new Option('-c, --connect <url>', `base URL of the ${agent}`).argParser(parse);

/** Makes a command act: an error is printed as one message, never as a stack, and decides the exit code. */
export function acts<O>(room: Room, command: Command, act: Act<O>): void {
  command.addOption(jsonOption()).action(async () => {
    const options = command.optsWithGlobals<O & { json?: true; connect?: string }>();
    const call = callOf<O>(room.context, command.processedArgs.flat().map(String), options);
    try {
      room.exit.code = (await act(call)) ?? exitCodes.done;
    } catch (thrown) {
      if (thrown instanceof InvalidArgumentError) {
        room.context.stderr.write(call.json ? usageJson(thrown.message) : `error: ${printable(thrown.message)}\n`);
        room.exit.code = exitCodes.usage;
        return;
      }
      const error = VmferryError.from(thrown);
      room.context.stderr.write(call.json ? failureJson(error) : failureText(error));
      room.exit.code = exitCodes.failed;
    }
  });
}

/** A usage error for a program. */
export const usageJson = (message: string): string =>
  failureJson(new VmferryError('invalid-argument', message.replace(/^error: /, '')));

function callOf<O>(context: CliContext, args: readonly string[], options: O & { json?: true; connect?: string }): Call<O> {
  const json = options.json === true;
  return {
    context,
    args,
    options,
    json,
    source: () => new SourceAgentClient(options.connect ?? fromEnvironment(context) ?? sourceUrlDefault, clientOptions(context)),
    destination: () => new DestinationAgentClient(options.connect ?? destinationUrlDefault, clientOptions(context)),
    print: (text, value) => context.stdout.write(json ? `${JSON.stringify(value)}\n` : text),
  };
}

/** One request id for all that one command asks, so that it can be followed through the logs of both hosts. */
export function clientOptions({ clock, env, random }: CliContext): ClientOptions {
  const token = env.VMFERRY_TOKEN;
  return { clock, requestId: random.uuid(), ...(token === undefined || token === '' ? {} : { token }) };
}

function fromEnvironment({ env }: CliContext): string | undefined {
  const url = env.VMFERRY_URL;
  if (url === undefined || url === '') return undefined;
  try {
    return sourceUrl(url);
  } catch (thrown) {
    throw new InvalidArgumentError(`VMFERRY_URL: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}
