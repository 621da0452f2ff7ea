import { expect } from 'vitest';

/** What a service answered, read as JSON when it is. */
export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Record<string, unknown>;
}

export interface Question {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly body?: unknown;
  /** Sent as it is, instead of `body`. */
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Asks without the client of the project, which would not send what is wrong. */
export async function ask(base: string, path: string, question: Question = {}): Promise<Answer> {
  const { method = 'POST', headers } = question;
  const sent = question.text ?? (question.body === undefined ? undefined : JSON.stringify(question.body));
  const response = await fetch(`${base}${path}`, {
    method,
    headers: { ...(sent === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(sent === undefined ? {} : { body: sent }),
  });
  const text = await response.text();
  const contentType = response.headers.get('content-type') ?? '';
  // Whatever the answer is, the specs look at it field by field.
  const body = contentType.includes('json') ? (JSON.parse(text) as Answer['body']) : { text };
  return { status: response.status, contentType, body };
}

/** The answer is a problem document of this code, whole and without anything of the inside. */
export function expectProblem(answer: Answer, status: number, code: string): void {
  const { body } = answer;
  expect([answer.status, body.code], JSON.stringify(body)).toEqual([status, code]);
  expect(answer.contentType).toBe('application/problem+json; charset=utf-8');
  expect(body).toMatchObject({
    type: `/problems/${code}`,
    status,
    title: expect.stringMatching(/./) as string,
    requestId: expect.any(String) as string,
  });
  expect(body.detail).toMatch(/^.{10,2000}$/s);
  expect(body).not.toHaveProperty('stack');
  expect(JSON.stringify(body)).not.toMatch(/node_modules|\.js:\d+/);
}
