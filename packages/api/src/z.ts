import { extendZodWithOpenApi } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';

// The one place that teaches zod to carry OpenAPI names; everything else imports `z` from here.
extendZodWithOpenApi(z);

export { z };
